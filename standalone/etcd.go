// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	// etcdQuota bounds the database, in bytes. Beyond it etcd takes no writes
	// until it was compacted and defragmented, which maintain does.
	etcdQuota = 2 << 30
	// A database is defragmented when this many bytes would be freed and they
	// are at least half of it: it stops writes for a moment.
	defragmentAbove = 64 << 20
)

func etcdURL(port int) string { return "https://127.0.0.1:" + strconv.Itoa(port) }

// etcdArguments are etcd's flags; paths are relative to the data directory,
// which is its working directory. fsync stays on: what was acknowledged must
// survive a power cut.
func etcdArguments(port int) []string {
	pair := func(prefix, authority string) []string {
		return []string{
			"--" + prefix + "cert-file=pki/" + etcdFile + ".crt",
			"--" + prefix + "key-file=pki/" + etcdFile + ".key",
			"--" + prefix + "trusted-ca-file=pki/" + authority + ".crt",
			"--" + prefix + "client-cert-auth=true",
		}
	}
	// A member must have a peer address; with port 0 it takes any, and as there
	// are no peers nobody has to know which.
	const peer = "https://127.0.0.1:0"
	arguments := []string{
		"--name=slipway",
		childMarks[etcdName],
		"--listen-client-urls=" + etcdURL(port),
		"--advertise-client-urls=" + etcdURL(port),
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=slipway=" + peer,
		// kube-apiserver compacts every five minutes; this is for the time in
		// which etcd runs and kube-apiserver cannot.
		"--auto-compaction-mode=periodic",
		"--auto-compaction-retention=1h",
		"--quota-backend-bytes=" + strconv.Itoa(etcdQuota),
		"--bootstrap-defrag-threshold-megabytes=" + strconv.Itoa(defragmentAbove>>20),
		// The only member waits for nobody's vote: waiting shorter for one
		// saves half a second at the first start.
		"--heartbeat-interval=50",
		"--election-timeout=250",
		// There is no follower that would catch up from the log in memory.
		"--snapshot-count=2000",
		"--logger=zap",
		"--log-level=warn",
	}
	arguments = append(arguments, pair("", etcdAuthorityFile)...)
	return append(arguments, pair("peer-", etcdAuthorityFile)...)
}

// etcdClient talks to the etcd of a data directory.
type etcdClient struct {
	*clientv3.Client
	endpoint string
}

// etcdTLS trusts etcd's authority, which stays while anything runs, and shows the
// client certificate that is on disk at the time: it is renewed while the cluster runs,
// and a client that connects again after months must not show the one it began with.
func etcdTLS(home dataDir) (*tls.Config, error) {
	load := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(home.certificateFile(slipwayEtcdClientFile), home.keyFile(slipwayEtcdClientFile))
		if err != nil {
			return nil, fmt.Errorf("load etcd client certificate: %w", err)
		}
		return &pair, nil
	}
	if _, err := load(nil); err != nil {
		return nil, err
	}
	bundle, err := os.ReadFile(home.certificateFile(etcdAuthorityFile))
	if err != nil {
		return nil, fmt.Errorf("load etcd authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	return &tls.Config{GetClientCertificate: load, RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

func newEtcdClient(home dataDir, port int) (*etcdClient, error) {
	config, err := etcdTLS(home)
	if err != nil {
		return nil, err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{etcdURL(port)},
		TLS:       config,
		Logger:    zap.NewNop(), // errors are returned
	})
	if err != nil {
		return nil, fmt.Errorf("make etcd client: %w", err)
	}
	return &etcdClient{Client: client, endpoint: etcdURL(port)}, nil
}

// ready answers when etcd has elected itself and serves reads.
func (c *etcdClient) ready(ctx context.Context) error {
	// gRPC waits a second before it dials again what has refused once; so it
	// only dials when somebody listens.
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(c.endpoint, "https://"))
	if err != nil {
		return fmt.Errorf("connect to etcd: %w", err)
	}
	_ = connection.Close()
	if _, err := c.Get(ctx, "health"); err != nil {
		return fmt.Errorf("read from etcd: %w", err)
	}
	return nil
}

// Database is the size of etcd's database, in bytes.
type Database struct {
	// SizeBytes is what the file takes, InUseBytes what defragmentation would leave of it.
	SizeBytes  int64 `json:"sizeBytes"`
	InUseBytes int64 `json:"inUseBytes"`
	QuotaBytes int64 `json:"quotaBytes"`
}

func (c *etcdClient) database(ctx context.Context) (*clientv3.StatusResponse, Database, error) {
	status, err := c.Status(ctx, c.endpoint)
	if err != nil {
		return nil, Database{}, fmt.Errorf("read etcd status: %w", err)
	}
	return status, Database{SizeBytes: status.DbSize, InUseBytes: status.DbSizeInUse, QuotaBytes: etcdQuota}, nil
}

// worthDefragmenting weighs what is freed against a moment without writes.
func worthDefragmenting(db Database) bool {
	freed := db.SizeBytes - db.InUseBytes
	return freed >= defragmentAbove && freed*2 >= db.SizeBytes
}

// maintain gives unused space back to the file system, and brings a database
// that has reached its quota back into use. It says what it did; "" is nothing.
func (c *etcdClient) maintain(ctx context.Context) (string, error) {
	status, db, err := c.database(ctx)
	if err != nil {
		return "", err
	}
	alarms, err := c.AlarmList(ctx)
	if err != nil {
		return "", fmt.Errorf("list etcd alarms: %w", err)
	}
	full := false
	for _, alarm := range alarms.Alarms {
		full = full || alarm.Alarm == etcdserverpb.AlarmType_NOSPACE
	}
	if !full {
		if !worthDefragmenting(db) {
			return "", nil
		}
		if _, err := c.Defragment(ctx, c.endpoint); err != nil {
			return "", fmt.Errorf("defragment etcd: %w", err)
		}
		return fmt.Sprintf("defragmented: %d MiB were in use of %d", db.InUseBytes>>20, db.SizeBytes>>20), nil
	}
	// Compacting to the present makes watches begin anew, which is better than no writes.
	if _, err := c.Compact(ctx, status.Header.Revision, clientv3.WithCompactPhysical()); err != nil && !isCompacted(err) {
		return "", fmt.Errorf("compact full etcd: %w", err)
	}
	if _, err := c.Defragment(ctx, c.endpoint); err != nil {
		return "", fmt.Errorf("defragment full etcd: %w", err)
	}
	_, after, err := c.database(ctx)
	if err != nil {
		return "", err
	}
	if after.SizeBytes >= etcdQuota {
		return "", fmt.Errorf("etcd holds %d MiB, its quota, and takes no writes: delete objects that are not needed", after.SizeBytes>>20)
	}
	if _, err := c.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		return "", fmt.Errorf("disarm etcd alarm: %w", err)
	}
	return fmt.Sprintf("had reached its quota; compacted and defragmented from %d to %d MiB", db.SizeBytes>>20, after.SizeBytes>>20), nil
}

func isCompacted(err error) bool {
	return errors.Is(err, rpctypes.ErrCompacted) || (err != nil && err.Error() == rpctypes.ErrCompacted.Error())
}
