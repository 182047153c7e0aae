package main

import (
	"context"
	"embed"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/client/js"
)

//go:embed page
var pageFiles embed.FS

// Page serves the chat's web page beside a frontend. It is a module of its
// app, which starts and stops it.
type Page struct {
	app      *cereus.App
	address  string
	listener net.Listener
	server   *http.Server
	serving  sync.WaitGroup
}

// NewPage is to listen on the address.
func NewPage(app *cereus.App, address string) *Page {
	return &Page{app: app, address: address}
}

// Addr is where the page is, once it is served.
func (p *Page) Addr() net.Addr { return p.listener.Addr() }

// Name says what the module is.
func (p *Page) Name() string { return "page" }

// Init starts to serve.
func (p *Page) Init(ctx context.Context) error {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		return err
	}
	if p.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", p.address); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /config.json", p.config)
	mux.HandleFunc("GET /cereus.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, js.Files(), "cereus.js")
	})
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	p.serving.Go(func() { _ = p.server.Serve(p.listener) }) // returns when it is closed
	return nil
}

// config tells the page where its frontend is.
func (p *Page) config(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host // without a port
	}
	addr, up := p.app.Addrs()[0].(*net.TCPAddr)
	if !up {
		http.Error(w, "not yet", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	err = json.NewEncoder(w).Encode(struct {
		WS       string `json:"ws"`
		Frontend string `json:"frontend"`
	}{"ws://" + net.JoinHostPort(host, strconv.Itoa(addr.Port)), p.app.Server().ID})
	if err != nil {
		panic(http.ErrAbortHandler) // the visitor has gone
	}
}

// AfterInit does nothing.
func (p *Page) AfterInit(context.Context) error { return nil }

// BeforeShutdown does nothing.
func (p *Page) BeforeShutdown(context.Context) {}

// Shutdown closes the listener and every connection.
func (p *Page) Shutdown(context.Context) error {
	err := p.server.Close()
	p.serving.Wait()
	return err
}
