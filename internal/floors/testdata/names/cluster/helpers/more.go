package morehelp // want: package cluster/helpers: a name that says what is in it, please
