package cluster

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEnlist_BesideTheServersOwn(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	watcher, d := newEtcd(t, etcdParams(nil, endpoint)), newEtcd(t, etcdParams(backend("self"), endpoint))
	register(t, d)
	second, err := d.Enlist(Enlistment{Self: backend("second")})
	require.NoError(t, err)
	register(t, second)
	third, err := d.Enlist(Enlistment{Self: backend("third")})
	require.NoError(t, err)
	register(t, third)
	eventually(t, sees(watcher, "second", "self", "third"), "all of them")

	gone, err := rawClient(t, endpoint).Delete(testContext(t), "t/servers/room/second")
	require.NoError(t, err)
	eventually(t, func() bool {
		s, ok := watcher.Server("second")
		return ok && present(s) && s.Epoch > gone.Header.Revision
	}, "it noticed that somebody deleted it")

	require.NoError(t, second.Close(testContext(t)))
	require.NoError(t, second.Close(testContext(t)))
	require.ErrorIs(t, second.Register(testContext(t)), ErrNotRunning)
	eventually(t, sees(watcher, "self", "third"), "closed")
	require.NoError(t, d.Shutdown(testContext(t)))
	eventually(t, sees(watcher), "everything left")
	require.NoError(t, third.Close(testContext(t)))
	_, err = d.Enlist(Enlistment{Self: backend("fourth")})
	require.ErrorIs(t, err, ErrNotRunning)
}

// Close leaves at once also when its caller has no time.
func TestEnlist_CloseInAHurry(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	p := etcdParams(nil, endpoint)
	p.TTL = time.Hour
	d := newEtcd(t, p)
	r, err := d.Enlist(Enlistment{Self: backend("")})
	require.NoError(t, err)
	require.Empty(t, r.Self().ID)
	register(t, r)
	id := r.Self().ID
	require.NotEmpty(t, id)
	eventually(t, sees(d, id), "joined")
	over, cancel := context.WithCancel(testContext(t))
	cancel()
	require.NoError(t, r.Close(over))
	eventually(t, sees(d), "left")
}

func TestEnlist_Refuses(t *testing.T) {
	t.Parallel()
	d := newEtcd(t, etcdParams(nil, startEtcd(t).EtcdEndpoints()[0]))
	_, err := d.Enlist(Enlistment{})
	require.ErrorContains(t, err, "a server is needed")
	_, err = d.Enlist(Enlistment{Self: backend("a/b"), Health: Health{Passes: -1}})
	require.ErrorContains(t, err, "server id")
	require.ErrorContains(t, err, "passes")
}

func TestFolderServices_AnIDIsUniqueWithinItsType(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	p := etcdParams(nil, endpoint)
	p.Folder = FolderServices
	d := newEtcd(t, p)
	room, err := d.Enlist(Enlistment{Self: backend("one")})
	require.NoError(t, err)
	register(t, room)
	pay := backend("one")
	pay.Type = "pay"
	other, err := d.Enlist(Enlistment{Self: pay})
	require.NoError(t, err)
	register(t, other)
	eventually(t, sees(d, "pay/one", "room/one"), "both are there")
	require.Equal(t, "room/one", room.Self().ID)
	require.Equal(t, "pay/one", other.Self().ID)

	resp, err := rawClient(t, endpoint).Get(testContext(t), "t/x/services/pay/one")
	require.NoError(t, err)
	require.Len(t, resp.Kvs, 1)
	require.True(t, strings.HasPrefix(string(resp.Kvs[0].Value), `{"id":"one","type":"pay",`))
	edited, err := d.EditServer(testContext(t), "pay/one", weigh(3))
	require.NoError(t, err)
	require.Equal(t, "pay/one", edited.ID)
	eventually(t, func() bool { return other.Self().Weight == 3 }, "taken over")
	require.NoError(t, other.Edit(testContext(t), Edit{State: StateBusy}))
	require.ErrorContains(t, d.SetLeader(testContext(t), "room", "room/one"), "leaders")

	p.Folder, p.Self = "elsewhere/", backend("one")
	_, err = NewEtcdDiscovery(p)
	require.ErrorContains(t, err, "folder")
	p.Folder = FolderServices
	_, err = NewEtcdDiscovery(p)
	require.ErrorContains(t, err, "Enlist")
}

func TestFolder_KeysOfServices(t *testing.T) {
	t.Parallel()
	s, err := FolderServices.parse("x/services/pay/p1", []byte(`{"id":"p1","type":"pay"}`))
	require.NoError(t, err)
	require.Equal(t, "pay/p1", s.ID)
	require.Equal(t, "x/services/pay/p1", FolderServices.key(s.Type, s.ID))
	for _, key := range []string{"servers/pay/p1", "x/services/pay", "x/services/pay/p1/x", "x/services//p1", "x/services/pay/"} {
		_, err := FolderServices.parse(key, []byte(`{"id":"p1","type":"pay"}`))
		require.ErrorIs(t, err, errBadKey, key)
	}
	for _, value := range []string{`{"id":"pay/p1","type":"pay"}`, `{"id":"p2","type":"pay"}`, `{"id":"p1","type":"room"}`} {
		_, err := FolderServices.parse("x/services/pay/p1", []byte(value))
		require.ErrorIs(t, err, errMismatch, value)
	}
}

func TestAfter(t *testing.T) {
	t.Parallel()
	p := etcdParams(backend("self"), startEtcd(t).EtcdEndpoints()[0])
	d, err := NewEtcdDiscovery(p)
	require.NoError(t, err)
	_, _, err = d.After(0)
	require.ErrorIs(t, err, ErrNotRunning)
	require.NoError(t, d.Init(testContext(t)))
	events, more, err := d.After(0)
	require.NoError(t, err)
	require.Empty(t, events)
	register(t, d)
	<-more
	events, more, err = d.After(0)
	require.NoError(t, err)
	require.Nil(t, more)
	require.Equal(t, "self", events[0].Server.ID)
	_, _, err = d.After(1000)
	require.ErrorIs(t, err, ErrHistoryGone)
	require.NoError(t, d.Shutdown(testContext(t)))
	at := uint64(0)
	for events, _, err = d.After(at); err == nil; events, _, err = d.After(at) {
		at = events[len(events)-1].Seq
	}
	require.ErrorIs(t, err, ErrNotRunning, "after all there was to tell")
}
