package poolz_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newPool(t testing.TB, hooks resource.Hooks[int], options pool.Options) *pool.Pool[int] {
	t.Helper()
	if hooks.Construct == nil {
		hooks.Construct = func(context.Context) (int, error) { return 1, nil }
	}
	p, err := pool.New(hooks, options)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	return p
}

func get(t testing.TB, page http.Handler, url string) *httptest.ResponseRecorder {
	t.Helper()
	answer := httptest.NewRecorder()
	page.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, url, nil))
	require.Equal(t, http.StatusOK, answer.Code)
	return answer
}

// shown is what the tests look at of the page as JSON.
type shown struct {
	NeedYou int `json:"need_you"`
	Pools   []struct {
		ID                                      int
		How, Says                               string
		Name, State                             string
		Held, Idle, Constructing, Free, Waiting int
		MaxSize                                 int                          `json:"max_size"`
		OldestWait                              float64                      `json:"oldest_wait"`
		MoreHolders                             int                          `json:"more_holders"`
		MeanWait                                struct{ Seconds, N float64 } `json:"mean_wait"`
		MeanUse                                 struct{ Seconds, N float64 } `json:"mean_use"`
		Counters, Destroyed                     []struct {
			Name  string
			Value float64
		}
		Holders []struct {
			ID            uint64
			Held          float64
			Caller, Stack string
		}
		Recent []struct {
			ID         uint64
			What, Text string
			Took, Ago  float64
		}
		Figures []struct {
			Name, Unit string
			Value      any
		}
		Options []struct{ Name, Value string }
		Charts  []struct {
			Values []struct{ Values []float64 }
		}
	}
}

func getJSON(t testing.TB, page http.Handler) (s shown) {
	t.Helper()
	require.NoError(t, json.Unmarshal(get(t, page, "/debug/poolz?format=json").Body.Bytes(), &s))
	return s
}

// find returns the pool with an id.
func find(t testing.TB, page http.Handler, id int) (found struct{ Recent []struct{ What, Text string } }) {
	t.Helper()
	for _, p := range getJSON(t, page).Pools {
		if p.ID == id {
			for _, r := range p.Recent {
				found.Recent = append(found.Recent, struct{ What, Text string }{r.What, r.Text})
			}
		}
	}
	return found
}

// text is what a person reads of the page: without tags, style and script, words one space apart.
func text(t testing.TB, page http.Handler) string {
	t.Helper()
	body := get(t, page, "/debug/poolz").Body.String()
	body = regexp.MustCompile(`(?s)<(style|script)>.*?</(style|script)>`).ReplaceAllString(body, "")
	body = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " ")
	return strings.Join(strings.Fields(html.UnescapeString(body)), " ")
}

func TestThePageSaysWhatAPoolDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := poolz.New()
		assert.Contains(t, text(t, page), "No pool was made")
		slow := make(chan struct{})
		var first atomic.Bool
		p := newPool(t, resource.Hooks[int]{Construct: func(context.Context) (int, error) {
			if !first.CompareAndSwap(false, true) {
				<-slow
			}
			return 1, nil
		}}, pool.Options{
			Name: "orders", MaxSize: 3, LeakAfter: time.Hour, AcquireTimeout: time.Minute, Observer: page.Observer(),
			Figures: func() []pool.Figure {
				return []pool.Figure{{Name: "wal", Unit: "By", Value: 1 << 20}, {Name: "batch", Unit: "{batch}", Value: 12.5}}
			},
		})
		lease, err := p.Acquire(t.Context())
		require.NoError(t, err)
		var work sync.WaitGroup
		for range 4 {
			work.Go(func() { // two of them build, two wait behind them
				if lease, err := p.Acquire(context.Background()); err == nil {
					lease.Discard()
				}
			})
		}
		<-time.After(12 * time.Second)
		synctest.Wait()

		got := getJSON(t, page).Pools[0]
		assert.Equal(t, "orders", got.Name)
		assert.Equal(t, "open", got.State)
		assert.Equal(t, []int{3, 1, 0, 2, 0}, []int{got.MaxSize, got.Held, got.Idle, got.Constructing, got.Free})
		assert.Equal(t, 12.0, got.OldestWait)
		require.Len(t, got.Holders, 1)
		assert.Equal(t, 12.0, got.Holders[0].Held)
		assert.Contains(t, got.Holders[0].Caller, "page_test.go:")
		assert.Contains(t, got.Holders[0].Stack, "TestThePageSaysWhatAPoolDoes")
		assert.Equal(t, got.Holders, getJSON(t, page).Pools[0].Holders, "the same the next time")
		read := text(t, page)
		for _, want := range []string{
			"1 of 1 pool needs you", "orders 2 callers wait, the longest for 12 s: 1 of 3 are held and 2 being built, 1 by page_test.go:",
			"1 held 0 idle 2 being built 0 free of 3", fmt.Sprintf("%d waiting, the oldest for 12 s", got.Waiting), "acquired 1",
			"wal 1 MiB", "batch 12.5", "page_test.go:", "LeakAfter 1h0m0s", "MaxLifetime no limit",
		} {
			assert.Contains(t, read, want)
		}

		bar := regexp.MustCompile(`<rect class="(\w+)" x="([\d.]+)%" width="([\d.]+)%"`).FindAllStringSubmatch(get(t, page, "/").Body.String(), -1)
		require.Len(t, bar, 2)
		assert.Equal(t, []string{"held", "0", "33.333333333333336"}, bar[0][1:])
		assert.Equal(t, []string{"built", "33.333333333333336", "66.66666666666667"}, bar[1][1:])

		close(slow)
		lease.Release()
		work.Wait()
		synctest.Wait()
		got = getJSON(t, page).Pools[0]
		assert.Equal(t, 5.0, got.MeanUse.N)
		assert.Equal(t, 12.0/5, got.MeanUse.Seconds)
		assert.Len(t, got.Recent, 4)
		for _, recent := range got.Recent {
			assert.Equal(t, "slow acquire", recent.What)
			assert.Equal(t, 12.0, recent.Took)
		}
		assert.Empty(t, got.Holders)
		assert.Equal(t, "discarded", got.Destroyed[0].Name)
		assert.Equal(t, 4.0, got.Destroyed[0].Value)
		assert.Contains(t, text(t, page), "mean use of 5 that ended 2.4 s")

		p.Suspend()
		assert.Equal(t, "suspended", getJSON(t, page).Pools[0].State)
	})
}

func TestSlowAcquiresAndErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := poolz.New()
		p := newPool(t, resource.Hooks[int]{}, pool.Options{Observer: page.Observer()})
		tap := page.Observer()(p) // the same pool a second time: the one that is driven by hand
		what := func() (all []string) {
			for _, recent := range find(t, page, 2).Recent {
				all = append(all, strings.TrimSpace(recent.What+" "+recent.Text))
			}
			return all
		}
		end := func(op pool.Op, took time.Duration, err error) {
			if op == pool.Acquire && err != nil {
				err = &pool.Error{Pool: "pool", Op: pool.Acquire, Err: err}
			}
			tap.End(t.Context(), pool.Event{Op: op, ID: 7, Took: took, Err: err})
		}
		end(pool.Acquire, 99*time.Millisecond, nil)
		end(pool.Acquire, time.Hour, pool.ErrUnavailable)
		end(pool.Acquire, 99*time.Millisecond, context.Canceled)
		tap.End(t.Context(), pool.Event{Op: pool.Acquire, Took: time.Hour, Err: &pool.Error{Op: pool.Construct, Err: errors.New("no")}})
		end(pool.Construct, time.Hour, nil)
		assert.Empty(t, what(), "nothing worth a look")

		end(pool.Acquire, 100*time.Millisecond, nil)
		end(pool.Acquire, 100*time.Millisecond, context.Canceled)
		end(pool.Acquire, 0, pool.ErrSaturated)
		end(pool.Construct, 0, errors.New("refused"))
		end(pool.Reset, 0, errors.New("stuck"))
		tap.End(t.Context(), pool.Event{Op: pool.Failing, Took: time.Minute, Err: errors.New("refused")})
		tap.Leak(pool.Leak{})
		tap.Leak(pool.Leak{Returned: true})
		assert.Equal(t, []string{
			"came back, held for too long", "held for too long", "construct keeps failing refused", "reset failed stuck", "construct failed refused",
			`acquire failed headpond/pool "pool": acquire: wait queue is full (MaxWaiters) (0 of 0 held, 0 waiting, 0 being built): release sooner or raise MaxSize`,
			`acquire failed headpond/pool "pool": acquire: context canceled`, "slow acquire",
		}, what())

		for n := range 50 {
			end(pool.Construct, 0, fmt.Errorf("error %d", n))
		}
		all := what()
		require.Len(t, all, 20)
		assert.Equal(t, "construct failed error 49", all[0])
		assert.Equal(t, "construct failed error 30", all[19])
		end(pool.Construct, 0, errors.New(strings.Repeat("é", 10_000)))
		assert.Less(t, len(what()[0]), 1100)
	})
}

func TestAClosedPoolLeavesThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := poolz.New()
		p := newPool(t, resource.Hooks[int]{}, pool.Options{Observer: page.Observer()})
		lease, err := p.Acquire(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Error(t, p.Close(ctx))
		require.Len(t, getJSON(t, page).Pools, 1)
		assert.Equal(t, "closed", getJSON(t, page).Pools[0].State, "a lease is out")
		assert.Contains(t, text(t, page), "pool closed It is closed, and 1 lease has not ended, one of them for 1 s (LeakAfter shows by whom). 1 held")
		lease.Release()
		synctest.Wait()
		assert.Empty(t, getJSON(t, page).Pools)
		assert.Contains(t, get(t, page, "/?format=json").Body.String(), `"pools":[]`)
	})
}

// TestAClosedPoolIsLetGo has nobody view the page after the last pool was closed.
func TestAClosedPoolIsLetGo(t *testing.T) {
	for name, early := range map[string]bool{"when it is closed": false, "when the last lease of a closed one has ended": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				page := poolz.New()
				kept := func() weak.Pointer[[1 << 20]byte] {
					big := new([1 << 20]byte)
					p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return int(big[0]), nil }},
						pool.Options{Observer: page.Observer()})
					require.NoError(t, err)
					lease, err := p.Acquire(t.Context())
					require.NoError(t, err)
					if early {
						ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
						defer cancel()
						require.Error(t, p.Close(ctx))
						lease.Release()
					} else {
						lease.Release()
						require.NoError(t, p.Close(t.Context()))
					}
					return weak.Make(big)
				}()
				<-time.After(2 * time.Second)
				synctest.Wait()
				runtime.GC()
				runtime.GC() // a finalizer or a cleanup may keep it through the first
				assert.Nil(t, kept.Value(), "what its hooks keep alive")
				runtime.KeepAlive(page)
			})
		})
	}
}

// TestThePageSamplesAfterItWasEmpty closes the last pool and makes another one.
func TestThePageSamplesAfterItWasEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := poolz.New()
		for range 2 {
			p := newPool(t, resource.Hooks[int]{}, pool.Options{Observer: page.Observer()})
			<-time.After(3500 * time.Millisecond)
			assert.Len(t, getJSON(t, page).Pools[0].Charts[0].Values[0].Values, 3)
			require.NoError(t, p.Close(t.Context()))
			<-time.After(10 * time.Second)
		}
	})
}

func TestFiguresForPeople(t *testing.T) {
	for _, c := range []struct {
		value      float64
		unit, want string
	}{
		{0, "By", "0 B"}, {1023, "By", "1,023 B"}, {1536, "By", "1.5 KiB"}, {4.5e6, "By", "4.29 MiB"}, {1 << 30, "By", "1 GiB"}, {1 << 55, "By", "32,768 TiB"},
		{0, "s", "0 s"}, {1.5e-9, "s", "1 ns"}, {12.34e-6, "s", "12.3 µs"}, {.5, "s", "500 ms"}, {59.5, "s", "59.5 s"}, {3661.2, "s", "1h1m1s"}, {-1, "s", "-1 s"},
		{1234567, "", "1,234,567"}, {1234567.8, "1", "1,234,568"}, {-123.4, "", "-123"}, {-12345, "", "-12,345"}, {17.349, "{batch}", "17.3"}, {.00012345, "%", "0.000123 %"},
		{1e300, "", "1e+300"}, {math.Inf(1), "", "+Inf"}, {math.NaN(), "By", "NaN B"},
	} {
		page := poolz.New()
		newPool(t, resource.Hooks[int]{}, pool.Options{Observer: page.Observer(), Figures: func() []pool.Figure {
			return []pool.Figure{{Name: "figure", Unit: c.unit, Value: c.value}}
		}})
		assert.Contains(t, text(t, page), "figures 1 figure "+c.want+" options", "%v %s", c.value, c.unit)
	}
}

func TestPoolsAreInOrder(t *testing.T) {
	page := poolz.New()
	for i, name := range []string{"c", "a", "b", "a"} {
		newPool(t, resource.Hooks[int]{}, pool.Options{Name: name, MaxSize: i + 1, Observer: page.Observer()})
	}
	var order []string
	for _, p := range getJSON(t, page).Pools {
		order = append(order, fmt.Sprint(p.Name, p.MaxSize))
	}
	assert.Equal(t, []string{"a2", "a4", "b3", "c1"}, order)
}

func TestManyHolders(t *testing.T) {
	page := poolz.New()
	p := newPool(t, resource.Hooks[int]{}, pool.Options{MaxSize: 150, Observer: page.Observer()})
	for range 150 {
		lease, err := p.Acquire(t.Context())
		require.NoError(t, err)
		defer lease.Release()
	}
	got := getJSON(t, page).Pools[0]
	assert.Len(t, got.Holders, 100)
	assert.Equal(t, 50, got.MoreHolders)
	assert.Contains(t, text(t, page), "held 100 and 50 more")
	assert.Contains(t, text(t, page), "by whom is known with LeakAfter")
}

func TestItOnlyReads(t *testing.T) {
	page := poolz.New()
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		answer := httptest.NewRecorder()
		page.ServeHTTP(answer, httptest.NewRequest(method, "/", nil))
		assert.Equal(t, http.StatusMethodNotAllowed, answer.Code)
		assert.Equal(t, "GET, HEAD", answer.Header().Get("Allow"))
	}
	server := httptest.NewServer(page)
	defer server.Close()
	answer, err := http.Head(server.URL)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	assert.Equal(t, http.StatusOK, answer.StatusCode)
	assert.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
}

// hostile are texts that want to be more than text.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</style><script>alert(1)</script>`,
	`</title><svg onload=alert(1)>`, `--><script>alert(1)</script>`, `{{.}} ${1} javascript:alert(1)`, "\x00\xff\u2028<b>",
}

func TestEverythingIsEscaped(t *testing.T) {
	for _, evil := range hostile {
		synctest.Test(t, func(t *testing.T) {
			page := poolz.New()
			p := newPool(t, resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 0, errors.New(evil) }},
				pool.Options{Name: evil, Observer: page.Observer(), Figures: func() []pool.Figure {
					return []pool.Figure{{Name: evil, Unit: evil, Value: math.NaN()}, {Name: evil, Unit: "By", Value: math.Inf(-1)}, {Name: evil, Unit: "s", Value: math.Inf(1)}}
				}})
			_, err := p.Acquire(t.Context())
			require.Error(t, err)
			body := get(t, page, "/?format=<script>").Body.String()
			assert.Equal(t, tags(t, get(t, harmless(t), "/").Body.String()), tags(t, body), evil)
			assert.Contains(t, getJSON(t, page).Pools[0].Recent[0].Text, strings.ToValidUTF8(evil, "\uFFFD"), "it is shown, all the same")
		})
	}
}

// harmless is a page as that of TestEverythingIsEscaped, but for the texts.
func harmless(t *testing.T) *poolz.Page {
	page := poolz.New()
	p := newPool(t, resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 0, errors.New("text") }},
		pool.Options{Name: "text", Observer: page.Observer(), Figures: func() []pool.Figure {
			return []pool.Figure{{Name: "text"}, {Name: "text"}, {Name: "text"}}
		}})
	_, err := p.Acquire(t.Context())
	require.Error(t, err)
	return page
}

// tags returns the tags of a document and the names of their attributes.
func tags(t *testing.T, document string) (all []string) {
	t.Helper()
	document = regexp.MustCompile(`(?s)<script>.*?</script>`).ReplaceAllString(document, "<script></script>")
	for _, tag := range regexp.MustCompile(`<[^>]*>`).FindAllString(document, -1) {
		all = append(all, regexp.MustCompile(`="[^"]*"`).ReplaceAllString(tag, "="))
	}
	require.NotEmpty(t, all)
	return all
}

func TestThePolicyAllowsThePagesOwnStyleAndScript(t *testing.T) {
	answer := get(t, poolz.New(), "/")
	policy := answer.Header().Get("Content-Security-Policy")
	assert.Contains(t, policy, "default-src 'none'")
	for _, tag := range []string{"style", "script"} {
		own := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(answer.Body.String(), -1)
		require.Len(t, own, 1)
		sum := sha256.Sum256([]byte(own[0][1]))
		assert.Contains(t, policy, fmt.Sprintf("%s-src 'sha256-%s'", tag, base64.StdEncoding.EncodeToString(sum[:])))
	}
	assert.NotRegexp(t, `(src|href)="(http|/)`, answer.Body.String(), "no external asset")
	assert.Contains(t, answer.Body.String(), `<noscript><meta http-equiv="refresh" content="5"></noscript>`)
}

func TestThePageMayBeReadWhilePoolsAreUsed(t *testing.T) {
	page := poolz.New()
	page.SlowAfter = time.Nanosecond
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 50 {
				p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }}, pool.Options{Observer: page.Observer()})
				if !assert.NoError(t, err) {
					return
				}
				for range 20 {
					assert.NoError(t, p.Do(context.Background(), func(context.Context, int) error { return nil }))
				}
				assert.NoError(t, p.Close(context.Background()))
			}
		})
	}
	work.Go(func() {
		for range 50 {
			get(t, page, "/")
			get(t, page, "/?format=json")
		}
	})
	work.Wait()
	assert.Empty(t, getJSON(t, page).Pools)
}

// Measured with Go 1.26.
func TestALeaseAllocatesNothing(t *testing.T) {
	page := poolz.New()
	tap := page.Observer()(newPool(t, resource.Hooks[int]{}, pool.Options{}))
	ctx := t.Context()
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		tap.End(ctx, pool.Event{Op: pool.Acquire, Took: time.Hour})
		tap.End(ctx, pool.Event{Op: pool.Release, Held: time.Hour})
	}))
}

// BenchmarkPage renders 100 pools, each with 10 holders whose stacks are known, 20 errors and 5 figures.
func BenchmarkPage(b *testing.B) {
	page := poolz.New()
	for n := range 100 {
		observer := page.Observer()
		var tap pool.Tap
		p := newPool(b, resource.Hooks[int]{}, pool.Options{
			Name: fmt.Sprintf("pool %d", n), MaxSize: 20, LeakAfter: time.Hour,
			Observer: func(p pool.Inspector) pool.Tap { tap = observer(p); return tap },
			Figures: func() []pool.Figure {
				return []pool.Figure{{Name: "a", Unit: "By", Value: 1e6}, {Name: "b", Unit: "s", Value: .1}, {Name: "c"}, {Name: "d"}, {Name: "e"}}
			},
		})
		for range 10 {
			lease, err := p.Acquire(b.Context())
			require.NoError(b, err)
			b.Cleanup(lease.Release)
		}
		for range 20 {
			tap.End(b.Context(), pool.Event{Op: pool.Construct, ID: 1, Err: errors.New("connection refused")})
		}
	}
	for _, url := range []string{"/", "/?format=json"} {
		b.Run(url, func(b *testing.B) {
			for b.Loop() {
				get(b, page, url)
			}
		})
	}
}
