"""Before anything is loaded: is the machine ready, what will it take, will it fit?"""
