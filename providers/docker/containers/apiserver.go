// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"fmt"
)

// stopAPIServerScript takes the static pod of the API server from the kubelet, which ends
// it as pods are ended, and waits for it to be gone. What has not ended after 20 seconds is
// killed: then it hangs.
const stopAPIServerScript = `cd /etc/kubernetes || exit 1
[ ! -e manifests/kube-apiserver.yaml ] || mv -f manifests/kube-apiserver.yaml kube-apiserver.yaml.ended || exit 1
i=0
while pgrep -f '^kube-apiserver ' >/dev/null; do
  [ $i -ne 200 ] || pkill -KILL -f '^kube-apiserver '
  [ $i -lt 220 ] || { echo "it does not end" >&2; exit 1; }
  i=$((i+1)); sleep 0.1
done`

// StopAPIServer ends the API server of a control-plane machine in order, and for good: with SIGTERM it serves what it has
// begun and tells its clients to connect anew. Where it has ended already, nothing happens. It takes up to 22 seconds, and
// usually one or two.
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
