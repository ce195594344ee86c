package live

// Decode reads latencies and packs them again.
func Decode(l Latencies) (Latencies, error) {
	var h histogram
	err := h.add(l)
	return h.pack(), err
}
