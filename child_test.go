package cereus_test

const childProgram = "CEREUS_TEST_CHILD"

func runChild(string) int { return 0 }
