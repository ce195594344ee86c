//go:build !race

package journal

import "time"

// syncInterval is how often what was appended is flushed to the disk.
const syncInterval = 100 * time.Millisecond
