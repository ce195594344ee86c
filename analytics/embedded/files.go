package embedded

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// The engine's files below Config.Dir.
const (
	subDir       = "clickhouse"
	dataDir      = "data"
	lockFile     = "lock"
	configFile   = "config.xml"
	usersFile    = "users.xml"
	endpointFile = "endpoint.json"
	passwordFile = "password"
)

// user is who connects from outside the engine's process, to database.
const (
	user     = "wedsync"
	database = "wedsync"
)

// files are the paths of one engine.
type files struct{ dir string }

// newFiles makes the directories, for the owner only.
func newFiles(dir string) (files, error) {
	abs, err := filepath.Abs(filepath.Join(dir, subDir))
	if err != nil {
		return files{}, err
	}
	f := files{dir: abs}
	if err := os.MkdirAll(f.path(dataDir), 0o700); err != nil {
		return files{}, err
	}
	return f, nil
}

func (f files) path(name string) string { return filepath.Join(f.dir, name) }

// configXML bounds memory: the caches default to gigabytes. It is a template for fmt.
const configXML = `<clickhouse>
  <users_config>%s</users_config>
  <max_server_memory_usage>%d</max_server_memory_usage>
  <mark_cache_size>16777216</mark_cache_size>
  <index_mark_cache_size>8388608</index_mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <index_uncompressed_cache_size>0</index_uncompressed_cache_size>
  <mmap_cache_size>0</mmap_cache_size>
  <max_concurrent_queries>100</max_concurrent_queries>
</clickhouse>
`

// usersXML has two users. The engine's own session is always "default" without a password, and
// whoever reaches the port could be that, too: so it may do nothing but what that session does.
// A query uses all processors: by default one takes a thread for each free GiB, of which there is one here.
const usersXML = `<clickhouse>
  <profiles><default>
    <max_memory_usage>%d</max_memory_usage>
    <max_bytes_before_external_group_by>%d</max_bytes_before_external_group_by>
    <max_bytes_before_external_sort>%[2]d</max_bytes_before_external_sort>
    <max_threads_min_free_memory_per_thread>0</max_threads_min_free_memory_per_thread>
  </default></profiles>
  <quotas><default></default></quotas>
  <users>
    <default>
      <password></password>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile><quota>default</quota>
      <grants><query>GRANT SYSTEM LISTEN ON *.*</query><query>GRANT SELECT ON system.numbers</query></grants>
    </default>
    <%[3]s>
      <password_sha256_hex>%[4]s</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile><quota>default</quota>
    </%[3]s>
  </users>
</clickhouse>
`

// configure writes the engine's configuration for a password.
func (f files) configure(memory int64, password string) error {
	var path strings.Builder
	if err := xml.EscapeText(&path, []byte(f.path(usersFile))); err != nil {
		return err
	}
	config := fmt.Sprintf(configXML, path.String(), memory)
	sum := sha256.Sum256([]byte(password))
	users := fmt.Sprintf(usersXML, memory/4*3, memory/4, user, hex.EncodeToString(sum[:]))
	if err := replaceFile(f.path(configFile), []byte(config)); err != nil {
		return err
	}
	return replaceFile(f.path(usersFile), []byte(users))
}

// password returns the directory's password, made at the first start: an engine that is started
// again answers to the DSN it had.
func (f files) password() (string, error) {
	data, err := os.ReadFile(f.path(passwordFile))
	if err == nil && len(data) > 0 {
		return string(data), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	password := rand.Text()
	return password, replaceFile(f.path(passwordFile), []byte(password))
}

// replaceFile writes a file that only its owner reads, whole or not at all.
func replaceFile(path string, data []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// dsn is of an engine on this machine, where compressing takes longer than sending.
func dsn(port int, password string) string {
	u := url.URL{
		Scheme: "clickhouse", User: url.UserPassword(user, password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/" + database, RawQuery: "compress=none",
	}
	return u.String()
}

// lock takes the directory's lock, or returns errLocked.
func (f files) lock() (*os.File, error) {
	file, err := os.OpenFile(f.path(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	_ = file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errLocked
	}
	return nil, fmt.Errorf("lock %s: %w", f.path(lockFile), err)
}

var errLocked = errors.New("locked")

// endpoint is what a running engine leaves for other processes of its user.
type endpoint struct {
	DSN     string `json:"dsn"`
	Port    int    `json:"port"`
	Version string `json:"version"`
	PID     int    `json:"pid"`
}

func (f files) writeEndpoint(e endpoint) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return replaceFile(f.path(endpointFile), data)
}

func (f files) readEndpoint() (endpoint, error) {
	var e endpoint
	data, err := os.ReadFile(f.path(endpointFile))
	if err == nil {
		err = json.Unmarshal(data, &e)
	}
	return e, err
}

// ErrNotRunning is what Find returns where no engine runs on the directory.
var ErrNotRunning = errors.New("no embedded ClickHouse runs on this directory")

// Find returns the DSN of the engine that another process runs on the directory, such as for a
// command that reads what a node has recorded.
func Find(dir string) (string, error) {
	f := files{dir: filepath.Join(dir, subDir)}
	e, err := f.readEndpoint()
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrNotRunning, dir, err)
	}
	lock, err := f.lock()
	if err == nil {
		_ = lock.Close()
		return "", fmt.Errorf("%w: %s: its process %d has ended", ErrNotRunning, dir, e.PID)
	}
	if !errors.Is(err, errLocked) {
		return "", err
	}
	return e.DSN, nil
}
