package event

import "encoding/json"

// Presence is who listens to a channel, on all nodes.
type Presence struct {
	Clients int       `json:"clients"` // connections
	Users   int       `json:"users"`
	Items   []Present `json:"items" nullable:"false"` // of each client; none where they are too many to be listed
}

// Present is a client that listens.
type Present struct {
	Client string          `json:"client"` // the connection
	User   string          `json:"user"`
	Info   json.RawMessage `json:"info,omitempty"` // what its token tells others
}
