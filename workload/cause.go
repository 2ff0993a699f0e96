// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// cause is an error whose text is the same each time the same trouble comes: texts end
// up in conditions, where another one is a write and an event. Ports of our own side,
// numbers of streams, the time of day and the address that was asked are left out. What
// the error is (for errors.Is and errors.As) stays.
func cause(err error) error {
	if err == nil {
		return nil
	}
	bare := err
	var asked *url.Error
	if errors.As(err, &asked) {
		bare = asked.Err
	}
	text := bare.Error()
	var network *net.OpError
	if !errors.As(bare, &network) && (errors.Is(bare, context.DeadlineExceeded) || strings.Contains(text, "Client.Timeout")) {
		text = "no answer in time"
	}
	for _, part := range varying {
		text = part.pattern.ReplaceAllString(text, part.by)
	}
	if text == err.Error() {
		return err
	}
	return steady{text, err}
}

// varying are the parts of error texts that change from try to try.
var varying = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`\S+:\d+->`), ""},                        // read tcp 10.0.0.1:40112->10.0.0.2:6443
	{regexp.MustCompile(`stream ID \d+; `), ""},                  // stream error: stream ID 7; INTERNAL_ERROR
	{regexp.MustCompile(`LastStreamID=\d+, `), ""},               // server sent GOAWAY ...; LastStreamID=7, ErrCode=NO_ERROR
	{regexp.MustCompile(`current time \S+ is `), "the time is "}, // certificate has expired ...: current time 2026-01-02T03:04:05Z is after ...
}

// steady is an error with another text.
type steady struct {
	text string
	error
}

func (s steady) Error() string { return s.text }
func (s steady) Unwrap() error { return s.error }

// steadyTransport passes all errors of requests through cause, those of reading the
// answers as well.
type steadyTransport struct{ http.RoundTripper }

func (t steadyTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, cause(err)
	}
	response.Body = steadyBody{response.Body}
	return response, nil
}

type steadyBody struct{ io.ReadCloser }

func (b steadyBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	if err != nil && err != io.EOF { //nolint:errorlint // callers compare the end with io.EOF, so only that itself is left alone
		err = cause(err)
	}
	return n, err
}
