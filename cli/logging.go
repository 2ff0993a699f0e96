// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// newLog writes structured lines of text to out, those at or above a level, and
// makes the libraries write there too.
func newLog(out io.Writer, level slog.Level) logr.Logger {
	log := logr.FromSlogHandler(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}))
	klog.SetLogger(log.WithName("client"))
	ctrllog.SetLogger(log)
	return log
}
