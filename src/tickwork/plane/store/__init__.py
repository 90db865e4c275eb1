"""The store of goals: runs, waits, money, memory and artifacts as rows, and the journals of runs beside them."""
