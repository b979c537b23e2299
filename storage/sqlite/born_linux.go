package sqlite

import "golang.org/x/sys/unix"

// born returns when a file was made, in Unix nanoseconds, or 0 if the file
// system does not say.
func born(path string) int64 {
	var x unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_SYNC_AS_STAT, unix.STATX_BTIME, &x)
	if err != nil || x.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return x.Btime.Sec*1e9 + int64(x.Btime.Nsec)
}
