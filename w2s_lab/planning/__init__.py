"""Checks before anything is loaded: is the machine ready, how much memory and time will a plan take, will it fit?"""
