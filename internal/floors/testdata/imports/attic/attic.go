package attic // want: package attic has no floor: list it in house()
