package peers

// Frame is what travels.
type Frame = frame

// Decode reads a message.
func Decode(data []byte) (*Frame, error) { return decode(data) }

// Encode writes one.
func Encode(f *Frame) ([]byte, error) {
	m, err := f.encode()
	return m.GetValue(), err
}
