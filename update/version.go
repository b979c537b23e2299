package update

import _ "github.com/hashicorp/go-version"
