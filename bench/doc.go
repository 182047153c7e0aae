// Command bench measures a cereus server beside the limits of the machine it
// runs on: a bare TCP echo, raw NATS requests, bare writes to sockets. Servers,
// broker and load are processes of their own, and every limit is measured in
// turn with what it is the limit of. README.md says what each row means.
package main
