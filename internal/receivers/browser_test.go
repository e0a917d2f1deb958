package receivers

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newBrowser returns a ctx of a real browser without a window, or skips the test if none is installed.
func newBrowser(t *testing.T, width, height int) context.Context {
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		t.Skip("no chromium is installed")
	}
	// Not t.TempDir: the browser may write into it for a moment after it has ended.
	profile, err := os.MkdirTemp("", "headpond-browser-")
	require.NoError(t, err)
	t.Cleanup(func() {
		for tries := 0; tries < 100 && os.RemoveAll(profile) != nil; tries++ {
			<-time.After(50 * time.Millisecond)
		}
	})
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox,
		chromedp.WindowSize(width, height), chromedp.UserDataDir(profile), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-quic", true))
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	limited, cancel := context.WithTimeout(allocator, 2*time.Minute)
	t.Cleanup(cancel)
	browser, cancel := chromedp.NewContext(limited)
	t.Cleanup(func() {
		_ = chromedp.Cancel(browser) // waits for the browser to end
		cancel()
	})
	return browser
}

// manyPools returns a page with 40 pools, of which one has more callers than values, and one can't build.
func manyPools(t *testing.T, count int) *httptest.Server {
	page := poolz.New()
	for n := range count {
		hooks := resource.Hooks[int]{Construct: func(context.Context) (int, error) { return n, nil }}
		options := pool.Options{Name: fmt.Sprintf("pool %02d", n), MaxSize: 4, LeakAfter: time.Hour, AcquireTimeout: time.Minute, Observer: page.Observer()}
		if n == 30 {
			hooks.Construct = func(context.Context) (int, error) { return 0, errors.New("connection refused") }
		}
		p, err := pool.New(hooks, options)
		require.NoError(t, err)
		leases := 1 + n%3
		if n == 20 {
			leases = 4
		}
		for range leases {
			lease, err := p.Acquire(t.Context())
			if n == 30 {
				require.Error(t, err)
				continue
			}
			require.NoError(t, err)
			t.Cleanup(lease.Release)
		}
		if n == 20 {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = p.Acquire(ctx)
			}()
			t.Cleanup(func() { cancel(); <-done })
		}
		t.Cleanup(func() {
			ended, cancel := context.WithCancel(context.Background())
			cancel()
			_ = p.Close(ended)
		})
	}
	server := httptest.NewServer(page)
	t.Cleanup(server.Close)
	return server
}

// screenshot keeps a picture in the folder that HEADPOND_SCREENSHOTS names, if it does.
func screenshot(t *testing.T, browser context.Context, name string) {
	folder := os.Getenv("HEADPOND_SCREENSHOTS")
	if folder == "" {
		return
	}
	var picture []byte
	require.NoError(t, chromedp.Run(browser, chromedp.CaptureScreenshot(&picture)))
	require.NoError(t, os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644))
}

func TestThePageInABrowser(t *testing.T) {
	browser := newBrowser(t, 1400, 900)
	server := manyPools(t, 40)
	var title, first, summary string
	require.NoError(t, chromedp.Run(browser, chromedp.Navigate(server.URL), chromedp.Title(&title),
		chromedp.Text("section h2", &first, chromedp.ByQuery), chromedp.Text("#summary", &summary, chromedp.ByQuery)))
	assert.Regexp(t, `^[12] of 40 pools needs? you$`, title)
	assert.Equal(t, title, summary)
	assert.Contains(t, []string{"pool 20", "pool 30"}, first)

	// Open the options of the last pool, scroll there and give its summary the focus: after the next refresh all of it is as it was.
	var before, after struct {
		Open   bool
		Focus  string
		Scroll float64
		Time   string
	}
	look := `(() => { const d = [...document.querySelectorAll("details")].at(-1);
		return {Open: d.open, Focus: document.activeElement.parentElement.id, Scroll: scrollY, Time: document.querySelector("time").textContent}; })()`
	require.NoError(t, chromedp.Run(browser,
		chromedp.Evaluate(`(() => { const d = [...document.querySelectorAll("details")].at(-1); d.open = true; d.scrollIntoView(); d.querySelector("summary").focus(); })()`, nil),
		chromedp.Evaluate(look, &before),
		chromedp.Poll(fmt.Sprintf(`document.querySelector("time").textContent !== %q`, before.Time), nil, chromedp.WithPollingTimeout(30*time.Second)),
		chromedp.Evaluate(look, &after)))
	require.True(t, before.Open)
	require.NotZero(t, before.Scroll)
	assert.NotEmpty(t, before.Focus)
	before.Time = after.Time
	assert.Equal(t, before, after)
	require.NoError(t, chromedp.Run(browser, chromedp.Evaluate(`scrollTo(0, 0)`, nil)))
	screenshot(t, browser, "page-40")

	var stale string
	server.CloseClientConnections()
	server.Listener.Close()
	require.NoError(t, chromedp.Run(browser, chromedp.Poll(`document.body.className === "stale" && "stale"`, &stale, chromedp.WithPollingTimeout(30*time.Second))))
}

func TestThePageOnAPhone(t *testing.T) {
	browser := newBrowser(t, 390, 844)
	server := manyPools(t, 31)
	var wide bool
	var first string
	require.NoError(t, chromedp.Run(browser, chromedp.Navigate(server.URL), chromedp.Text("section h2", &first, chromedp.ByQuery),
		chromedp.Evaluate(`document.documentElement.scrollWidth > innerWidth`, &wide)))
	assert.False(t, wide, "nothing is cut off at the side")
	assert.Contains(t, []string{"pool 20", "pool 30"}, first)
	screenshot(t, browser, "page-phone")
}

func TestThePageOfOnePool(t *testing.T) {
	browser := newBrowser(t, 1400, 900)
	server := manyPools(t, 1)
	var share float64
	require.NoError(t, chromedp.Run(browser, chromedp.Navigate(server.URL), chromedp.WaitVisible("section", chromedp.ByQuery),
		chromedp.Poll(`document.querySelector("figure") !== null`, nil, chromedp.WithPollingTimeout(30*time.Second)),
		chromedp.Evaluate(`document.querySelector("section").offsetWidth / document.querySelector("main").offsetWidth`, &share)))
	assert.Greater(t, share, .9, "it uses the width")
	screenshot(t, browser, "page-1")
}
