package problem

import "io"

// believed is how much room an announced length gets before the bytes are there.
const believed = 64 << 10

// readAll is io.ReadAll with room for what was announced, and one byte to see the end.
func readAll(r io.Reader, announced int64) ([]byte, error) {
	b := make([]byte, 0, max(min(announced, believed)+1, 512))
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
	}
}
