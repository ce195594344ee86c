package ws

// ParseJWKS returns how many keys a document has.
func ParseJWKS(data []byte) (int, error) {
	keys, err := parseJWKS(data)
	return len(keys), err
}
