package cluster

import (
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

// arrival is everything that a request needs, in one allocation.
type arrival struct {
	in      Incoming
	request clusterpb.Request
}

var errNoMsg = errors.New("the request has no msg")

// decode fills the request from data.
func (a *arrival) decode(data []byte) error {
	if err := proto.Unmarshal(data, &a.request); err != nil {
		return err
	}
	if a.request.Msg == nil {
		return errNoMsg
	}
	return nil
}

func unmarshalResponse(data []byte, resp *clusterpb.Response) error {
	return proto.Unmarshal(data, resp)
}
