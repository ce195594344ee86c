package access

// MaxSessions is for the test of that bound.
const MaxSessions = maxSessions

// For the fuzz targets.
var (
	IDOf   = idOf
	Encode = encode
)

// Decode returns what a stored key says, and who holds it.
func Decode(id string, data []byte) (Key, *Caller, error) {
	h, err := decode(id, data)
	if err != nil {
		return Key{}, nil, err
	}
	return h.key, h.caller, nil
}
