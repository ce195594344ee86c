package journal

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// ManifestFile is the last file of a backup: a folder without it holds none, or a part of one.
const ManifestFile = "manifest.json"

// backupFormat is the version of the manifest that this release writes, and the highest that it reads.
const backupFormat = 1

// Manifest says what a backup holds.
type Manifest struct {
	Format  int              `json:"format"`
	Made    time.Time        `json:"made"`
	Node    string           `json:"node"`
	Mode    string           `json:"mode"`
	Epoch   string           `json:"epoch"`
	Shards  int              `json:"shards"`
	Online  bool             `json:"online"` // a node served the log meanwhile, and after
	Streams []BackedUpStream `json:"streams"`
	// Shared are what the nodes of a cluster share, by name, sealed by them.
	Shared map[string][]byte `json:"shared,omitempty"`
}

// BackedUpStream is one stream of a backup, in a file of its own: JetStream's snapshot of it.
type BackedUpStream struct {
	Name   string              `json:"name"`
	Bytes  int64               `json:"bytes"` // of the file
	SHA256 string              `json:"sha256"`
	Config server.StreamConfig `json:"config"`
	State  server.StreamState  `json:"state"`
}

// File is the stream's file in the backup's folder.
func (s BackedUpStream) File() string { return snapshotFile(s.Name) }

func snapshotFile(stream string) string { return stream + ".snapshot" }

// ParseManifest reads a manifest. It fails with ErrForeign where it is none, and with ErrNewer where a newer
// release wrote it.
func ParseManifest(data []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil || m.Format < 1 {
		// A newer one may differ in everything but its format.
		var newer struct{ Format int }
		if json.Unmarshal(data, &newer) != nil || newer.Format <= backupFormat {
			return m, fmt.Errorf("%s: %w: it is no manifest of a backup", ManifestFile, ErrForeign)
		}
		m.Format = newer.Format
	}
	if m.Format > backupFormat {
		return m, fmt.Errorf("%s: %w (format %d, this one reads up to %d); restore with that release", ManifestFile, ErrNewer, m.Format, backupFormat)
	}
	known := backedUp()
	var lacks []string
	for _, name := range known {
		if !slices.ContainsFunc(m.Streams, func(s BackedUpStream) bool { return s.Name == name }) {
			lacks = append(lacks, name)
		}
	}
	for i, s := range m.Streams {
		if !slices.Contains(known, s.Name) || s.Config.Name != s.Name || slices.ContainsFunc(m.Streams[:i], func(o BackedUpStream) bool { return o.Name == s.Name }) {
			return m, fmt.Errorf("%s: %w: it names a stream %.80q, which is none of a log, or is there twice", ManifestFile, ErrForeign, s.Name)
		}
	}
	switch {
	case len(lacks) > 0:
		return m, fmt.Errorf("%s: %w: it lacks the streams %q", ManifestFile, ErrForeign, lacks)
	case m.Shards < 1 || m.Shards > MaxShards || m.Epoch == "":
		return m, fmt.Errorf("%s: %w: it has %d shards and the epoch %.80q", ManifestFile, ErrForeign, m.Shards, m.Epoch)
	}
	return m, nil
}

// backedUp are the streams of a backup, in the order in which it is made. Streams are not read at one
// instant, so each comes before those that its work moves on to: what is done by its positions is then in
// a later one, and what is in both is done again and not lost. What keeps a request from being taken
// twice comes before what it was taken into, and integrations after the deliveries to them. Leases are left
// out: whoever had them has them no more.
func backedUp() []string {
	return []string{
		streamOf(bucketSeen), streamOf(bucketAnswers), streamOf(bucketRouted), streamEvents, streamWork, streamDead, streamRecords,
		streamOf(bucketClients), streamOf(bucketSyncs), streamOf(bucketConfig), streamOf(bucketSecrets),
	}
}
