package client

import (
	"bytes"
	"fmt"

	"github.com/cereus-game/cereus/errs"
)

// Decode reads a payload, such as that of a push, with the server's serializer.
// A *[]byte gets a copy of the payload as it is.
func (c *Client) Decode(data []byte, v any) error {
	if raw, ok := v.(*[]byte); ok {
		*raw = bytes.Clone(data)
		return nil
	}
	if c.serializer == nil {
		return c.noSerializer()
	}
	if err := c.serializer.Unmarshal(data, v); err != nil {
		return fmt.Errorf("client: decoding a payload as %s: %w", c.codec, err)
	}
	return nil
}

func (c *Client) encode(arg any) ([]byte, error) {
	switch v := arg.(type) {
	case nil:
		return nil, nil
	case []byte:
		return v, nil
	}
	if c.serializer == nil {
		return nil, c.noSerializer()
	}
	data, err := c.serializer.Marshal(arg)
	if err != nil {
		return nil, errs.Wrap(errs.CodeBadRequest, fmt.Errorf("client: encoding an argument as %s: %w", c.codec, err))
	}
	return data, nil
}

func (c *Client) noSerializer() error {
	return errs.New(errs.CodeBadRequest,
		fmt.Sprintf("client: the server uses serializer %q: pass one of that name with WithSerializer, or use []byte", c.codec))
}
