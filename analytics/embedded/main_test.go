package embedded_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/analytics/embedded"
)

// parentEnv names a directory: the process starts an engine on it, says its pid and waits to be killed.
const parentEnv = "WEDSYNC_TEST_PARENT"

func TestMain(m *testing.M) {
	embedded.MaybeRunChild()
	if dir := os.Getenv(parentEnv); dir != "" {
		s, err := embedded.Start(context.Background(), embedded.Config{Dir: dir})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.PID())
		select {}
	}
	goleak.VerifyTestMain(m)
}
