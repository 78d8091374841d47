// Shows the curl command with the address of this page.

document.getElementById("curl-command").textContent = `curl -fo .env -d code=ABCD-2345 ${location.origin}/join`;
