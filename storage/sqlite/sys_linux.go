package sqlite

import _ "golang.org/x/sys/unix"
