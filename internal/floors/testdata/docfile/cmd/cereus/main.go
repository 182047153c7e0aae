package main // want: program without a comment above its package clause
