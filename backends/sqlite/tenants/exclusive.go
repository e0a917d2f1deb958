package tenants

import (
	"context"
)

// Exclusive calls use with the path of a tenant's database while that is closed, and keeps it closed until use returns:
// to delete, move, replace or copy the file, and its log beside it. It takes no place.
//
// It waits until the calls that hold the database have ended, and closes it; calls for the tenant that come later
// wait for Exclusive in turn. AcquireTimeout bounds the wait. An open that failed is forgotten: the next call tries again.
// The file may be one that does not exist. The error of use is returned as it is; any other one is an *Error:
// [pool.ErrNested] inside a call that could wait for itself, [ErrSameFile] if another tenant in use has the file,
// and those of waiting, as of [Pool.Read].
func (p *Pool) Exclusive(ctx context.Context, tenant string, use func(ctx context.Context, path string) error) error {
	path, err := p.options.Path(tenant)
	if err != nil {
		return p.fail("path", tenant, err)
	}
	h, err := p.acquire(ctx, tenant, kindExclusive)
	if err != nil {
		return err
	}
	defer p.release(h)
	if err := p.store.claim(tenant, path, true); err != nil {
		return p.fail("exclusive", tenant, err)
	}
	defer p.store.release(tenant)
	return use(h, path)
}
