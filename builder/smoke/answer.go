package smoke

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"laminate/packager/config"
)

const (
	// askEvery is the time between two requests to a process that does not answer as expected yet.
	askEvery = 100 * time.Millisecond
	// askFor is how long one request may take.
	askFor = 10 * time.Second
	// bodyLimit is how much of an answer is read.
	bodyLimit = 1 << 20
)

// Answer is the answer of a launched process. Body has at most 1 MiB of it.
type Answer struct {
	Status int
	Body   string
}

// Dial connects to an address in a sandbox.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Ask sends a request to the loopback address that dial connects to, again and again until the
// answer is as expected, or ctx ends. It returns the last answer, or an error if there was none.
// Redirects are answers.
func Ask(ctx context.Context, dial Dial, h config.SmokeHTTP) (*Answer, error) {
	client := &http.Client{
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true, Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       askFor,
	}
	url := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(h.Port)) + h.Path
	var last *Answer
	var lastErr error
	for {
		a, err := ask(ctx, client, url)
		if err == nil {
			last = a
			if a.Status == h.Status && (h.Body == nil || h.Body.MatchString(a.Body)) {
				return a, nil
			}
		} else if ctx.Err() == nil || lastErr == nil || errors.Is(err, errAnswering) {
			lastErr = err
		}
		select {
		case <-ctx.Done():
			if last != nil {
				return last, nil
			}
			return nil, lastErr
		case <-time.After(askEvery):
		}
	}
}

// errAnswering is the error of an answer that began, and did not end in time.
var errAnswering = errors.New("reading the answer")

func ask(ctx context.Context, client *http.Client, url string) (*Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "laminate")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit))
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w: %w", req.URL.Path, errAnswering, err)
	}
	return &Answer{Status: resp.StatusCode, Body: string(body)}, nil
}
