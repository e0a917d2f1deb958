package poolz

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/headpond/headpond/pool"
)

// Page shows pools. Make one with New. Its methods may be called from any goroutine.
type Page struct {
	// SlowAfter is the time from which on an acquire is shown as slow; 0: every one is.
	// Set it before the first pool is made. New sets it to 100ms.
	SlowAfter time.Duration

	sampler sampler

	mu     sync.Mutex // protects the following
	pools  []*watched
	lastID int
}

// New returns a page without pools.
func New() *Page {
	p := &Page{SlowAfter: 100 * time.Millisecond}
	p.sampler.page = p
	return p
}

// Observer returns an observer that puts pools on the page.
// It may be given to any number of them, and costs a lease a few additions and no allocation.
func (p *Page) Observer() pool.Observer {
	return func(inspector pool.Inspector) pool.Tap {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.prune()
		p.lastID++
		w := newWatched(inspector, p.lastID, p.SlowAfter)
		p.pools = append(p.pools, w)
		p.sampler.added()
		return pool.Tap{End: w.end, Leak: w.leak, Detach: func() { w.closed.Store(true) }}
	}
}

// prune forgets the pools of which nothing is left. p.mu is held.
func (p *Page) prune() {
	before := len(p.pools)
	p.pools = slices.DeleteFunc(p.pools, func(w *watched) bool {
		return w.closed.Load() && w.pool.Stats().Live() == 0
	})
	p.sampler.forgot(before - len(p.pools))
}

// all returns the pools on the page.
func (p *Page) all() []*watched {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prune()
	return slices.Clone(p.pools)
}

// look returns what the page shows now: the pools that need their owner first, then by name, those of one name by age.
// Of a pool that lists its values it shows those whose name contains find.
func (p *Page) look(now time.Time, find string) view {
	shown := view{Time: now, SlowAfter: seconds(p.SlowAfter), Pools: []poolView{}}
	for _, watched := range p.all() {
		shown.Pools = append(shown.Pools, watched.view(now, find))
	}
	slices.SortFunc(shown.Pools, func(a, b poolView) int {
		return cmp.Or(cmp.Compare(b.severity, a.severity), cmp.Compare(a.Name, b.Name), a.ID-b.ID)
	})
	shown.summarize()
	return shown
}

// ServeHTTP answers GET and HEAD with the page, and with ?format=json with the same as JSON; any other method with 405.
// With ?find=text the lists of pools whose values have names (see [pool.Lister]) are of those names that contain text.
// It takes every pool's Stats, Holders and Figures, which holds none of them up.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the page only reads", http.StatusMethodNotAllowed)
		return
	}
	query := r.URL.Query()
	shown := p.look(time.Now(), query.Get("find"))
	var body bytes.Buffer
	contentType, write := "text/html; charset=utf-8", func() error { return document.Execute(&body, shown) }
	if query.Get("format") == "json" {
		contentType, write = "application/json", func() error { return json.NewEncoder(&body).Encode(shown) }
	}
	if err := write(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	_, _ = w.Write(body.Bytes())
}

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

var document = template.Must(template.New("page").Funcs(template.FuncMap{
	"css": func() template.CSS { return template.CSS(pageCSS) },
	"js":  func() template.JS { return template.JS(pageJS) },
}).Parse(pageHTML))

// policy allows the page's own style and script, and nothing that an error's text might smuggle in.
var policy = "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; style-src '" +
	digest(pageCSS) + "'; script-src '" + digest(pageJS) + "'"

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
