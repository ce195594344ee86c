package embedded

import (
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
)

// Config configures Start.
type Config struct {
	// Dir holds the engine's files in Dir/clickhouse, which is created where it is missing. Required.
	Dir string
	// Library is libchdb.so or a clickhouse binary. Default: searched for, see Start.
	Library string
	// Port is of the native protocol on 127.0.0.1. Default: the directory's last one if it is free,
	// else a free one.
	Port int
	// Memory bounds what the engine allocates, in bytes. Default 1 GiB; at least 256 MiB.
	Memory int64
	// LockWait is how long to wait for another engine to leave the directory: that of a node that
	// was just killed is still ending. Default 10 s.
	LockWait time.Duration
	// Logger gets the engine's warnings and errors at debug level. Default: none.
	Logger zerolog.Logger
}

const minMemory = 256 << 20

// WithDefaults returns the configuration with its zero fields filled in.
func (c Config) WithDefaults() Config {
	if c.Memory == 0 {
		c.Memory = 1 << 30
	}
	if c.LockWait == 0 {
		c.LockWait = 10 * time.Second
	}
	return c
}

// Validate returns an error that names the first field that is wrong.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("embedded ClickHouse: Dir is empty; name the data directory")
	case c.Port < 0 || c.Port > 65535:
		return fmt.Errorf("embedded ClickHouse: Port is %d; use 0 for a free one, or 1 to 65535", c.Port)
	case c.Memory < minMemory:
		return fmt.Errorf("embedded ClickHouse: Memory is %d bytes; it takes at least %d", c.Memory, int64(minMemory))
	case c.LockWait < 0:
		return fmt.Errorf("embedded ClickHouse: LockWait is %v; use 0 for 10s, or more", c.LockWait)
	}
	return nil
}
