// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"io"
	"math/rand"
	"net"
	"sync"
	"testing"
	"time"
)

// network is a bad network between us and a server: a TCP proxy that delays all it passes
// on, cuts connections, and leaves them half open.
type network struct {
	listener net.Listener
	server   string
	delay    time.Duration // one way

	mu       sync.Mutex
	lifetime func() time.Duration // of a new connection; nil for ever
	open     map[*crossing]bool
	crossed  int
}

// crossing is one connection through the network.
type crossing struct {
	client, server net.Conn
	frozen         chan struct{} // closed when nothing passes any more
	gone           chan struct{} // closed when it was cut
	once           sync.Once
}

func (c *crossing) cut() {
	c.once.Do(func() {
		close(c.gone)
		_ = c.client.Close()
		_ = c.server.Close()
	})
}

func badNetwork(t *testing.T, server string, delay time.Duration) *network {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{listener: listener, server: server, delay: delay, open: map[*crossing]bool{}}
	t.Cleanup(func() {
		_ = listener.Close()
		n.each((*crossing).cut)
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go n.carry(conn)
		}
	}()
	return n
}

func (n *network) address() string { return n.listener.Addr().String() }

// lose has new connections live for a time between the two given, by chance from the seed.
// Zero ends it.
func (n *network) lose(seed int64, least, most time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	random := rand.New(rand.NewSource(seed)) // used under the mutex
	n.lifetime = func() time.Duration { return least + time.Duration(random.Int63n(int64(most-least))) }
	if seed == 0 {
		n.lifetime = nil
	}
}

// freeze leaves all connections half open: they stay, and nothing passes.
func (n *network) freeze() {
	n.each(func(c *crossing) { close(c.frozen) })
}

// each takes all connections out of the list and does something to them.
func (n *network) each(do func(*crossing)) {
	n.mu.Lock()
	open := n.open
	n.open = map[*crossing]bool{}
	n.mu.Unlock()
	for c := range open {
		do(c)
	}
}

func (n *network) crossings() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.crossed
}

func (n *network) carry(client net.Conn) {
	server, err := net.Dial("tcp", n.server)
	if err != nil {
		_ = client.Close()
		return
	}
	c := &crossing{client: client, server: server, frozen: make(chan struct{}), gone: make(chan struct{})}
	n.mu.Lock()
	n.open[c] = true
	n.crossed++
	if n.lifetime != nil {
		time.AfterFunc(n.lifetime(), c.cut)
	}
	n.mu.Unlock()
	// The first packets take their way as well, which a proxy's own handshake hides.
	go n.pass(c, client, server, 2*n.delay)
	go n.pass(c, server, client, 0)
}

// pass passes on what comes, each piece when its time has come.
func (n *network) pass(c *crossing, from io.Reader, to io.Writer, before time.Duration) {
	type piece struct {
		data []byte
		due  time.Time
	}
	pieces := make(chan piece, 1024)
	go func() {
		defer close(pieces)
		ready := time.Now().Add(before)
		for {
			buffer := make([]byte, 32<<10)
			read, err := from.Read(buffer)
			due := time.Now().Add(n.delay)
			if earliest := ready.Add(n.delay); due.Before(earliest) {
				due = earliest
			}
			select {
			case pieces <- piece{buffer[:read], due}:
			case <-c.gone:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		timer := time.NewTimer(time.Until(p.due))
		select {
		case <-timer.C:
		case <-c.gone:
			timer.Stop()
			return
		}
		select {
		case <-c.frozen:
			<-c.gone
			return
		default:
		}
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	c.cut()
}
