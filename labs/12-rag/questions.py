"""questions - what lab 12 asks, and where the answer stands.

(question, end of the file's name, words of the right passage).  The words tell whether a passage
that was found is the right one.  Where a machine's documents lack them (another Python, a page
that was written anew), the question is left out, and the lab says how many were.
"""
SHOWN = [
    "How can I copy a whole directory tree?",
    "May I give copies of a modified program to other people?",
    "What is the price of a kilogram of tomatoes?",
]

KNOWN = [
    ("How can I copy a whole directory tree?", "shutil.py", "recursively copy a directory tree"),
    ("How much free space does a disk have?", "shutil.py", "return disk usage statistics"),
    ("How do I delete a folder with everything in it?", "shutil.py",
     "recursively delete a directory tree"),
    ("Move a file to another place", "shutil.py", "recursively move a file or directory"),
    ("Which program would be run for this command name?", "shutil.py",
     "return the path which conforms to the given mode on the path"),
    ("Insert a value into a list that stays sorted", "bisect.py",
     "insert item x in list a, and keep it sorted"),
    ("Is this a leap year?", "calendar.py", "return true for leap years"),
    ("What day of the week is a date?", "calendar.py", "return weekday (0-6 ~ mon-sun)"),
    ("How many days does a month have?", "calendar.py",
     "return weekday (0-6 ~ mon-sun) and number of days"),
    ("Ask for a secret word without showing it on the screen", "getpass.py",
     "prompt for a password, with echo turned off"),
    ("What is the name of the user who is logged in?", "getpass.py",
     "get the username from the environment or password database"),
    ("May I use the names and trademarks of the licensor?", "Apache-2.0",
     "does not grant permission to use the trade names"),
    ("What happens to patents when I sue somebody?", "Apache-2.0",
     "institute patent litigation against any entity"),
    ("Must I say that I changed the files?", "Apache-2.0",
     "carry prominent notices stating that you changed the files"),
    ("A directory that goes away by itself", "tempfile.py",
     "create and return a temporary directory"),
    ("Find the few largest things of many", "heapq.py", "find the n largest elements"),
    ("Remember the results of a function that is called again", "functools.py",
     "least-recently-used cache decorator"),
    ("Break a long paragraph into lines of a certain width", "textwrap.py",
     "wrap a single paragraph of text"),
    ("Read a compressed file", "gzip.py", "open a gzip-compressed file"),
    ("List the files whose names match a pattern", "glob.py",
     "return a list of paths matching a pathname pattern"),
    ("Make a string that nobody can guess", "secrets.py", "return a random url-safe text string"),
    ("A copy that shares nothing with the original", "copy.py",
     "deep copy operation on arbitrary python objects"),
    ("May I take money for copies of a program?", "GPL-3", "you may charge any price or no price"),
    ("Is there a guarantee that the program works?", "GPL-3",
     "there is no warranty for the program"),
    ("What happens to my rights when I break the terms?", "GPL-3",
     "will automatically terminate your rights"),
    ("May I kill a process of the database at any time?", "docs/OPERATING.md",
     "kill -9 is safe at any moment"),
    ("What does the database do when the disk is full?", "docs/OPERATING.md",
     "writes are refused with code 7"),
]
