package ingest

import "github.com/wedsync/wedsync/edge/problem"

// CheckObject returns a *Reject unless body is one well-formed JSON object within the limits, in
// UTF-8 and without duplicate keys: what every vendor's webhook must be before its adapter reads it.
func CheckObject(body []byte, l Limits) error {
	if len(body) > l.Bytes {
		return reject(problem.BodyTooLarge, "the body has %d bytes, at most %d are allowed", len(body), l.Bytes)
	}
	s := scanner{limits: l}
	if _, rej := s.run(body); rej != nil {
		return rej
	}
	return nil
}
