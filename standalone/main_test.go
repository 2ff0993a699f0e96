// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// parentVariable makes the test binary a process that runs a management
// cluster, so that tests can kill it.
const parentVariable = "SLIPWAY_TEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parentVariable) != "" {
		os.Exit(parent())
	}
	os.Exit(m.Run())
}

func parent() int {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	if os.Getenv(parentVariable) == "broken" {
		fmt.Println("Error: broken on purpose")
		return 3
	}
	m, err := Start(ctx, Options{BinariesDir: os.Getenv(binariesVariable)})
	if err != nil {
		fmt.Println("Error:", err)
		return 1
	}
	if err := m.Report("controllers", true, "none"); err != nil {
		fmt.Println("Error:", err)
		return 1
	}
	if err := m.MarkReady(); err != nil {
		fmt.Println("Error:", err)
		return 1
	}
	<-ctx.Done()
	if err := m.Stop(context.Background()); err != nil {
		fmt.Println("Error:", err)
		return 1
	}
	return 0
}
