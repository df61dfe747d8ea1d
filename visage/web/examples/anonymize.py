import requests

with open("photo.jpg", "rb") as photo:
    answer = requests.post("http://localhost:8080/anonymize?method=mosaic", files={"image": photo}, timeout=60)
answer.raise_for_status()
with open("anonymous.jpg", "wb") as picture:
    picture.write(answer.content)
