// Chat is a program with a comment.
package main
