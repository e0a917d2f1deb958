package recipes

import (
	"context"
	"errors"
	"net"
	"net/smtp"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
)

// Mailers pools sessions with a mail server, which costs three round trips and a login each.
// After a minute of rest a session is asked whether it is still there; most servers hang up after five.
func Mailers(address, server string, login smtp.Auth) (*pool.Pool[*smtp.Client], error) {
	var dialer net.Dialer
	return pool.New(resource.Hooks[*smtp.Client]{
		Construct: func(ctx context.Context) (*smtp.Client, error) {
			conn, err := dialer.DialContext(ctx, "tcp", address)
			if err != nil {
				return nil, err
			}
			defer context.AfterFunc(ctx, func() { conn.Close() })() // net/smtp knows no ctx
			client, err := smtp.NewClient(conn, server)
			if err == nil && login != nil {
				err = client.Auth(login)
			}
			if err != nil {
				conn.Close()
			}
			return client, err
		},
		Check:   func(ctx context.Context, client *smtp.Client) error { return within(ctx, client, client.Noop) },
		Reset:   func(ctx context.Context, client *smtp.Client) error { return within(ctx, client, client.Reset) },
		Destroy: func(ctx context.Context, client *smtp.Client) error { return within(ctx, client, client.Quit) },
	}, pool.Options{Name: "mail", MaxSize: 4, Policy: resource.Policy{CheckAfterIdle: time.Minute, MaxIdleTime: 4 * time.Minute}})
}

// within ends what do does when ctx ends, and the session with it.
func within(ctx context.Context, client *smtp.Client, do func() error) error {
	stop := context.AfterFunc(ctx, func() { client.Close() })
	err := do()
	if !stop() {
		err = pool.Discard(errors.Join(context.Cause(ctx), err))
	}
	return err
}

// Send sends a mail. A session in which the server refuses one is reset, and goes on.
func Send(ctx context.Context, mailers *pool.Pool[*smtp.Client], from, to string, text []byte) error {
	return mailers.Do(ctx, func(ctx context.Context, client *smtp.Client) error {
		return within(ctx, client, func() error {
			if err := client.Mail(from); err != nil {
				return err
			}
			if err := client.Rcpt(to); err != nil {
				return err
			}
			w, err := client.Data()
			if err != nil {
				return err
			}
			if _, err := w.Write(text); err != nil {
				return err
			}
			return w.Close()
		})
	})
}
