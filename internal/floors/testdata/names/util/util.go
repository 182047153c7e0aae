package util // want: package util: a name that says what is in it, please
