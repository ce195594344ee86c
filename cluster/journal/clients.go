package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/wedsync/wedsync/actors/event"
)

// Client is what is remembered of a client at an integration, so that a profile which its vendor has is not
// sent again. It holds no profile. It is forgotten when nothing has changed for 400 days.
type Client struct {
	V      int       `json:"v"`
	ID     string    `json:"client"`
	Had    bool      `json:"had,omitempty"`    // the vendor has taken a profile of the client
	Hash   string    `json:"hash,omitempty"`   // of the one that it has for sure; "": none
	Queued string    `json:"queued,omitempty"` // the newest delivery of one that is on its way
	At     time.Time `json:"at"`
}

// Synced is a client's part in one sync, kept for a week from its last change.
type Synced struct {
	V       int                  `json:"v"`
	ID      string               `json:"client"`
	Hash    string               `json:"hash"` // of the profile as it was given
	Outcome event.ProfileOutcome `json:"outcome"`
	Reason  string               `json:"reason,omitempty"`
	At      time.Time            `json:"at"`
}

func streamOf(bucket string) string { return "KV_" + bucket }
func keysOf(bucket string) string   { return "$KV." + bucket + ".>" }

// clientKey writes a client's id as one part of a key, in which a "." would make two.
func clientKey(id string) (string, error) {
	if !event.ValidSegment(id) {
		return "", fmt.Errorf("client %.80q: an id has 1 to %d of A-Z a-z 0-9 _ . and -", id, event.MaxSegmentBytes)
	}
	return strings.ReplaceAll(id, ".", "="), nil
}

func checkIDs(integration, syncID string) error {
	return errors.Join(event.CheckID(integration), event.CheckID(syncID))
}

// Client returns what is remembered of a client at an integration; of one that is not known, its id.
func (j *Journal) Client(ctx context.Context, integration, id string) (Client, error) {
	c, _, err := j.client(ctx, integration, id)
	return c, err
}

func (j *Journal) client(ctx context.Context, integration, id string) (c Client, revision uint64, err error) {
	c = Client{V: event.Version, ID: id}
	key, err := clientKey(id)
	if err = errors.Join(err, event.CheckID(integration)); err != nil {
		return c, 0, err
	}
	v, err := j.buckets[bucketClients].Get(ctx, integration+"."+key)
	if errors.Is(err, ErrNotFound) {
		return c, 0, nil
	}
	if err != nil {
		return c, 0, err
	}
	if err := json.Unmarshal(v.Data, &c); err != nil {
		j.bad(bucketClients, v.Revision, integration, err) // it is as good as not known, and written anew
		return Client{V: event.Version, ID: id}, v.Revision, nil
	}
	return c, v.Revision, nil
}

// ChangeClient changes what is remembered of a client, on top of whatever others change meanwhile.
func (j *Journal) ChangeClient(ctx context.Context, integration, id string, change func(*Client)) error {
	for {
		c, revision, err := j.client(ctx, integration, id)
		if err != nil {
			return err
		}
		change(&c)
		data, err := encode(c)
		if err != nil {
			return err
		}
		key, _ := clientKey(id)
		// With revision 0, Update makes it where there is none.
		_, err = j.buckets[bucketClients].Update(ctx, integration+"."+key, data, revision)
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// ForgetClient removes what is remembered of a client at an integration, and its part in a sync, and leaves
// nothing of their bytes in the store.
func (j *Journal) ForgetClient(ctx context.Context, integration, syncID, id string) error {
	key, err := clientKey(id)
	if err = errors.Join(err, checkIDs(integration, syncID)); err != nil {
		return err
	}
	for bucket, key := range map[string]string{bucketClients: integration + "." + key, bucketSyncs: integration + "." + syncID + "." + key} {
		v, err := j.buckets[bucket].Get(ctx, key)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := j.removeAs(ctx, streamOf(bucket), v.Revision, overwrite); err != nil { // a revision is the message's sequence
			return err
		}
	}
	return nil
}

// AddSynced notes a client's part in a sync, unless there is a note of it already.
func (j *Journal) AddSynced(ctx context.Context, integration, syncID string, s Synced) error {
	err := j.putSynced(ctx, integration, syncID, s, j.buckets[bucketSyncs].Create)
	if errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}

// PutSynced notes a client's part in a sync.
func (j *Journal) PutSynced(ctx context.Context, integration, syncID string, s Synced) error {
	return j.putSynced(ctx, integration, syncID, s, j.buckets[bucketSyncs].Put)
}

func (j *Journal) putSynced(ctx context.Context, integration, syncID string, s Synced, put func(context.Context, string, []byte) (uint64, error)) error {
	key, err := clientKey(s.ID)
	if err = errors.Join(err, checkIDs(integration, syncID)); err != nil {
		return err
	}
	data, err := encode(s)
	if err != nil {
		return err
	}
	_, err = put(ctx, integration+"."+syncID+"."+key, data)
	return err
}

// SyncedClient returns a client's part in a sync, or ErrNotFound.
func (j *Journal) SyncedClient(ctx context.Context, integration, syncID, id string) (Synced, error) {
	key, err := clientKey(id)
	if err = errors.Join(err, checkIDs(integration, syncID)); err != nil {
		return Synced{}, err
	}
	v, err := j.buckets[bucketSyncs].Get(ctx, integration+"."+syncID+"."+key)
	if err != nil {
		return Synced{}, err
	}
	return decodeSynced(v.Data)
}

// Synced returns all clients' parts in a sync, in no order.
func (j *Journal) Synced(ctx context.Context, integration, syncID string) ([]Synced, error) {
	if err := checkIDs(integration, syncID); err != nil {
		return nil, err
	}
	var found []Synced
	subject := "$KV." + bucketSyncs + "." + integration + "." + syncID + ".*"
	err := j.scan(ctx, streamOf(bucketSyncs), subject, 0, 1<<62, func(m *jetstream.RawStreamMsg) {
		s, err := decodeSynced(m.Data)
		if err != nil {
			j.bad(streamOf(bucketSyncs), m.Sequence, m.Subject, err)
			return
		}
		found = append(found, s)
	})
	return found, j.fail("reading the sync "+syncID, err)
}

func decodeSynced(data []byte) (Synced, error) {
	var s Synced
	if err := json.Unmarshal(data, &s); err != nil {
		return s, err
	}
	if s.ID == "" {
		return s, errors.New("a part in a sync without a client")
	}
	return s, nil
}
