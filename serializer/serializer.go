package serializer

// Names of the built-in serializers, as they travel in the handshake.
const (
	NameJSON     = "json"
	NameProtobuf = "protobuf"
)

// Serializer is a payload codec. It must be safe for concurrent use. Payloads
// that are []byte already never reach it.
type Serializer interface {
	// Name is what clients are told in the handshake.
	Name() string
	// Marshal encodes v.
	Marshal(v any) ([]byte, error)
	// Unmarshal decodes data into v, a non-nil pointer. It must not keep data.
	Unmarshal(data []byte, v any) error
}
