package traffic

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// linger is how long a tunnel of which one side has ended waits for the next
// byte of the other: a client that is gone looks like one that still listens.
const linger = 900 * time.Millisecond

// tunnel is an upgraded connection.
type tunnel struct {
	client, service net.Conn
	half            atomic.Bool // one side has ended
}

// tunnel takes the client's connection over and joins it to the service's, until
// both have ended. The error that it returns is errSwitched if it has.
func (x *exchange) tunnel(reply *http.Response) error {
	client, buffered, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return fmt.Errorf("taking the connection over: %w", err)
	}
	t := &tunnel{client: client, service: x.back}
	defer t.close()
	e := x.choice.endpoint
	e.add(t)
	defer e.remove(t)

	x.status = http.StatusSwitchingProtocols
	c := x.choice.revision.counts
	c.requests.Add(1)
	c.latency[bucket(x.first)].Add(1)

	early := make([]byte, buffered.Reader.Buffered())
	if _, err := io.ReadFull(buffered.Reader, early); err != nil {
		return errSwitched
	}
	if err := writeSwitch(client, x.w.Header(), reply.Header, protocol(reply.Header)); err != nil {
		return errSwitched
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if _, err := t.service.Write(early); err != nil {
			t.close()
			return
		}
		t.copy(t.service, t.client, t.client)
	}()
	t.copy(t.client, reply.Body, t.service) // which may have read more than the reply
	<-sent
	return errSwitched
}

// writeSwitch tells the client that its connection is upgraded.
func writeSwitch(client io.Writer, ours, theirs http.Header, protocol string) error {
	h := ours.Clone()
	for name, values := range theirs {
		h[name] = append(h[name], values...)
	}
	for _, line := range theirs["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(strings.Trim(name, " \t"))
		}
	}
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", protocol)
	var b strings.Builder
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	if err := h.Write(&b); err != nil {
		return err
	}
	b.WriteString("\r\n")
	_, err := io.WriteString(client, b.String())
	return err
}

// copy passes on what comes from a side, which is read through r, and its end.
func (t *tunnel) copy(to net.Conn, r io.Reader, from net.Conn) {
	buf := buffers.Get()
	defer buffers.Put(buf)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if t.half.Load() {
				_ = to.SetWriteDeadline(time.Now().Add(linger))
			}
			if _, err := to.Write(buf[:n]); err != nil {
				t.close()
				return
			}
		}
		switch {
		case err == io.EOF:
			_ = closeWrite(to) // if it cannot, the limit ends it
			t.half.Store(true)
			_ = to.SetReadDeadline(time.Now().Add(linger))
			_ = from.SetWriteDeadline(time.Now().Add(linger))
			return
		case err != nil:
			t.close()
			return
		case t.half.Load():
			_ = from.SetReadDeadline(time.Now().Add(linger))
		}
	}
}

// close ends both sides.
func (t *tunnel) close() {
	_ = t.client.Close()
	_ = t.service.Close()
}

func closeWrite(c net.Conn) error {
	if c, ok := c.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return http.ErrNotSupported
}
