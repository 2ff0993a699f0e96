// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"fmt"
)

// stopAPIServerScript takes the static pod of the API server from the kubelet and ends it. With SIGTERM it serves what it
// has begun, and tells clients that keep a connection to make another (HTTP/2's GOAWAY), which is done in a moment. It would
// then go on for half a minute for the sake of watches, which are made to be cut; so it is killed after three seconds.
const stopAPIServerScript = `cd /etc/kubernetes || exit 1
[ ! -e manifests/kube-apiserver.yaml ] || mv -f manifests/kube-apiserver.yaml kube-apiserver.yaml.ended || exit 1
i=0
while pgrep -f '^kube-apiserver ' >/dev/null; do
  case $i in
  5) pkill -TERM -f '^kube-apiserver ' ;;
  35|45) pkill -KILL -f '^kube-apiserver ' ;;
  60) echo "it does not end" >&2; exit 1 ;;
  esac
  i=$((i+1)); sleep 0.1
done`

// StopAPIServer ends the API server of a control-plane machine in order, and for good: with SIGTERM it serves what it has
// begun and tells its clients to connect anew. Where it has ended already, nothing happens. It takes up to six seconds.
//
// It gives *NotRunningError.
func (c *Client) StopAPIServer(ctx context.Context, machine Key) error {
	result, err := c.askNode(ctx, c.bounds.wait, machine, []string{"/bin/sh", "-c", stopAPIServerScript})
	if err != nil {
		return fmt.Errorf("end the API server of machine %s: %w", machine, err)
	}
	if result.ExitCode != 0 {
		return fmt.Errorf("end the API server of machine %s: %s", machine, lastLines(string(result.Stderr), 1))
	}
	return nil
}
