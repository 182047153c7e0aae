package protocol

import (
	"encoding/json"
	"fmt"

	"github.com/cereus-game/cereus/errs"
)

func errorJSON(code, text string, metadata map[string]string) ([]byte, error) {
	return json.Marshal(struct {
		Code     string            `json:"code,omitempty"`
		Message  string            `json:"msg,omitempty"`
		Metadata map[string]string `json:"metadata,omitempty"`
	}{code, text, metadata})
}

func decodeErrorJSON(body []byte) (*errs.Error, error) {
	var w struct {
		Code     string          `json:"code"`
		Message  string          `json:"msg"`
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, fmt.Errorf("error body: %w", err)
	}
	return &errs.Error{Code: errs.Code(w.Code), Message: w.Message, Metadata: looseStrings(w.Metadata)}, nil
}

// looseStrings reads an object of strings. Other values keep their JSON text,
// anything but an object is dropped: metadata is a courtesy, the error is not.
func looseStrings(raw json.RawMessage) map[string]string {
	var values map[string]json.RawMessage
	if json.Unmarshal(raw, &values) != nil || len(values) == 0 {
		return nil
	}
	loose := make(map[string]string, len(values))
	for key, value := range values {
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		loose[key] = text
	}
	return loose
}
