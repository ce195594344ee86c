//go:build race

package journal

import "time"

// syncInterval is longer under the race detector: nats-server 2.15.2 sets a store's sync timer where
// that timer's first run may read it already (newFileStore and syncBlocks), which is reported where
// a machine is so busy that a whole interval passes between two lines.
const syncInterval = 10 * time.Second
